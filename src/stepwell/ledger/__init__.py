"""What is remembered beyond one database's schema: jobs, their leases, batches, failures and the changes they made.

It lives in one relational database of the project, `[ledger] database`, in tables named `stepwell_…`.
"""
