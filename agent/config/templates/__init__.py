"""Ready-made rules: what `template:` in a site file becomes, with defaults and where they come from."""
