"""Operations for Outrider; `plugin.yaml` beside this file says which node types use them."""
