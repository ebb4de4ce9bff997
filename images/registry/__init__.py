"""Push images to a registry: logins (``logins``, ``ecr``, ``docker_config``), and the ``push`` itself."""
