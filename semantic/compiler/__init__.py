"""The compiler: parse, bind, plan, rewrite, emit."""
