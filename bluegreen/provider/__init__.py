"""The Pulumi side: the package `bluegreen` as a provider, over the official gRPC bindings.

Loading this package loads nothing else: `__main__` says its port before anything heavy is imported.
"""
