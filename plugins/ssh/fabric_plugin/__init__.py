"""The names under which the ecosystem's blueprints call the operations of `outrider.plugins.ssh`."""
