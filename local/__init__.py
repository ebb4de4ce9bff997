"""This machine in place of Docker Hub and AWS, for `make image`, `make demo` and the tests."""
