"""The valid names of AWS resources, as regular expressions."""

REGION = r"[a-z]{2,}(-[a-z0-9]+)+"
"""A region: ``eu-west-1``, ``us-gov-east-1``, ``us-isob-east-1``."""
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""A general purpose bucket (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html)."""
