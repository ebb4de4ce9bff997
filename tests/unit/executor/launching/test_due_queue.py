"""Items in the order in which they fall due."""

from __future__ import annotations

from airflow_ecs_executor.launching.due_queue import DueQueue


def test_items_leave_when_they_are_due_the_earliest_first() -> None:
    queue: DueQueue[str] = DueQueue()
    for due, item in ((3.0, "late"), (1.0, "a"), (1.0, "b")):
        queue.push(due, item)
    assert (queue.wait(0.5), queue.pop(0.5)) == (0.5, None)
    assert [queue.pop(2.0) for _ in range(3)] == ["a", "b", None]
    assert (queue.wait(2.0), len(queue)) == (1.0, 1)
    assert (queue.wait(5.0), queue.pop(5.0), queue.wait(5.0)) == (0.0, "late", None)


def test_items_need_no_order_of_their_own() -> None:
    queue: DueQueue[object] = DueQueue()
    first, second = object(), object()
    queue.push(1.0, first)
    queue.push(1.0, second)
    assert queue.pop(1.0) is first and queue.pop(1.0) is second


def test_an_item_that_is_not_valid_any_more_is_dropped() -> None:
    valid = {"b"}
    queue: DueQueue[str] = DueQueue(lambda due, item: item in valid)
    queue.push(1.0, "a")
    queue.push(2.0, "b")
    assert queue.wait(1.0) == 1.0 and len(queue) == 1
    valid.clear()
    assert queue.wait(1.0) is None and queue.pop(9.0) is None
