"""The rules, one a file, in the order of the manual."""

from __future__ import annotations

from stepwell.safety.lint.rule import Rule
from stepwell.safety.lint.rules.clickhouse import (
    drop_guard,
    heavy_mutation,
    insert_select,
    multi_rename,
    nullable_key,
    on_cluster,
    replicated_path,
    sorting_key,
)
from stepwell.safety.lint.rules.every import (
    contract,
    data_change,
    early_drop,
    irreversible,
    lock_timeout,
    rename,
    secret,
    unqualified,
)
from stepwell.safety.lint.rules.mysql import (
    charset_conversion,
    foreign_key,
    implicit_commit,
    key_length,
    not_online,
    row_size,
)
from stepwell.safety.lint.rules.postgres import (
    blocking_index,
    blocking_unique,
    concurrently_in_transaction,
    not_null,
    rewriting_type,
    several_locks,
    validated_constraint,
    volatile_default,
)

RULES: tuple[Rule, ...] = tuple(
    module.RULE
    for module in (
        contract, early_drop, rename, unqualified, data_change, irreversible, lock_timeout, secret,
        blocking_index, blocking_unique, validated_constraint, not_null, volatile_default, rewriting_type,
        several_locks, concurrently_in_transaction,
        not_online, charset_conversion, foreign_key, implicit_commit, row_size, key_length,
        heavy_mutation, multi_rename, insert_select, drop_guard, sorting_key, on_cluster, replicated_path, nullable_key,
    )
)  # fmt: skip
