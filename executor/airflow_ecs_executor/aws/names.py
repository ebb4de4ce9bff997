"""The valid names of AWS resources, as regular expressions."""

REGION = r"[a-z]{2,}(-[a-z0-9]+)+"
"""A region: ``eu-west-1``, ``us-gov-east-1``, ``us-isob-east-1``."""
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""A general purpose bucket (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html)."""
TASK_LOGS = rf"s3://{BUCKET}(/\S*)?|cloudwatch://arn:[a-z-]+:logs:[a-z0-9-]+:[0-9]{{12}}:log-group:[A-Za-z0-9_/.#-]+"
"""A location of Airflow's remote logging: a prefix in a bucket, or a log group's ARN without the final ``:*``."""
