"""The image family: the matrix as data, one template, and what turns a request into verified images."""
