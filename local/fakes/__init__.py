"""Small HTTP services that stand in for S3, an image registry and CloudWatch Logs in tests."""
