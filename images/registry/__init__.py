"""An image to a registry: who pushes (``logins``, ``ecr``, ``docker_config`` for Buildx), and the ``push`` itself."""
