"""The order in which items fall due, and in which ECS tasks are polled."""

from __future__ import annotations

from airflow_ecs_executor.aws.ecs import DESCRIBE_LIMIT
from airflow_ecs_executor.launching.queues import DueQueue, PollQueue


def test_items_leave_when_they_are_due_the_earliest_first() -> None:
    queue: DueQueue[object] = DueQueue()
    late, first, second = object(), object(), object()  # which have no order of their own
    for due, item in ((3.0, late), (1.0, first), (1.0, second)):
        queue.push(due, item)
    assert (queue.wait(0.5), queue.pop(0.5)) == (0.5, None)
    assert [queue.pop(2.0) for _ in range(3)] == [first, second, None]
    assert (queue.wait(2.0), len(queue)) == (1.0, 1)
    assert (queue.wait(5.0), queue.pop(5.0), queue.wait(5.0)) == (0.0, late, None)


def test_an_item_that_is_not_valid_any_more_is_dropped() -> None:
    valid = {"b"}
    queue: DueQueue[str] = DueQueue(lambda due, item: item in valid)
    queue.push(1.0, "a")
    queue.push(2.0, "b")
    assert queue.wait(1.0) == 1.0 and len(queue) == 1
    valid.clear()
    assert queue.wait(1.0) is None and queue.pop(9.0) is None


def test_row_4_a_task_is_polled_no_more_often_than_the_interval() -> None:
    queue = PollQueue(3.0)
    assert queue.next_batch(0.0) == ([], None)
    queue.add("arn", 0.0)
    assert queue.next_batch(0.0) == ([], 3.0)
    assert queue.next_batch(3.0) == (["arn"], None)
    assert queue.next_batch(3.0) == ([], 3.0)
    queue.remove("arn")
    assert queue.next_batch(9.0) == ([], None)


def test_all_tasks_take_turns_in_full_batches() -> None:
    queue = PollQueue(1.0)
    arns = [f"arn-{number}" for number in range(250)]
    for arn in arns:
        queue.add(arn, 0.0)
    batches = [queue.next_batch(1.0)[0] for _ in range(3)]
    assert [len(batch) for batch in batches] == [DESCRIBE_LIMIT, DESCRIBE_LIMIT, 50]
    assert [arn for batch in batches for arn in batch] == arns


def test_a_batch_is_filled_with_tasks_that_are_due_soon() -> None:
    queue = PollQueue(2.0)
    for arn, added in (("due", 0.0), ("soon", 1.0), ("later", 1.5)):
        queue.add(arn, added)
    assert queue.next_batch(2.0)[0] == ["due", "soon"]


def test_tasks_may_be_polled_first_once_each_and_only_while_they_are_followed() -> None:
    queue = PollQueue(2.0)
    for arn in "abc":
        queue.add(arn, 0.0)
    queue.remove("c")
    queue.poll_first("bbc")
    assert queue.next_batch(0.5) == (["b"], None)
    assert queue.next_batch(0.5) == ([], 1.5)
