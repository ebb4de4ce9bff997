"""What a machine needs in place of Docker Hub and AWS: an engine, base images, services, one real task run."""
