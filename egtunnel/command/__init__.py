"""The command line ``egtunnel``, beside the plugins of twistd."""
