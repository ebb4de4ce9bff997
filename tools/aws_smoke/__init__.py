"""Ask a real AWS account what this project believes of AWS: ``make aws-smoke`` (docs/first-day-on-aws.md)."""
