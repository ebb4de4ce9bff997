"""The same configurations for the reference executor and for ours: what does each send to RunTask?"""
