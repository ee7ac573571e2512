"""The plugins that a Pulumi CLI from package registries lacks: the Python language host and the command provider.

Both are small gRPC services over Pulumi's public protocols, on the official bindings that the `pulumi` package ships.
They run in the checkout's `.venv`, each in a process of its own that the CLI starts; `python -I
toolchain/hosts/__main__.py language|command` is their door. What they do not do: anything for other runtimes,
toolchains other than pip, and `command:remote:*`.
"""
