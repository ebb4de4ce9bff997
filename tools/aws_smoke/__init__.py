"""Check on a real AWS account what this project assumes of AWS: ``make aws-smoke`` (docs/first-day-on-aws.md)."""
