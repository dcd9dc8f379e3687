"""The ways of logging in: a module a method, of its name in ``auth.rules``.

Each has a function ``open_method`` (see ``proxy.auth.method.MethodModule``) and is imported only
where a rule asks for it. A new method is a module here and its options in ``proxy.config.rules``.
"""
