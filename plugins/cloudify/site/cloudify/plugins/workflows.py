"""Names of `cloudify.plugins.workflows`: they can be imported; a call says that they are not provided here."""

from outrider_facade.workflows import not_provided

install = not_provided(__name__, "install")
uninstall = not_provided(__name__, "uninstall")
execute_operation = not_provided(__name__, "execute_operation")
scale_entity = not_provided(__name__, "scale_entity")
update = not_provided(__name__, "update")
auto_heal_reinstall_node_subgraph = not_provided(__name__, "auto_heal_reinstall_node_subgraph")
