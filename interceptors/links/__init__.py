"""The links of the chain, one module each; `interceptors.chain.LINKS` has their order and its reasons."""
