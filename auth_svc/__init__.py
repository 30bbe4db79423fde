"""Who people are and what proves it: accounts, passwords, sessions, tokens, and the keys of operators and services.

| folder | what belongs there |
|---|---|
| `accounts` | users: registering, and telling people who they are |
| `passwords` | which passwords are accepted, and how they are hashed |
| `sessions` | signing in, and staying so by refresh tokens |
| `tokens` | signing keys, access tokens, discovery and introspection |
| `api_keys` | the keys of operators and services |

`app` constructs everything; `settings` is what the environment says; `doors` is the way to the database.
"""
