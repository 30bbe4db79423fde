"""How the product does with many tenants: `make scale` measures it beside itself with few."""
