{#
    dbt's `functions:` of the language Python, as sandboxed functions that the database file keeps. Written by
    `python -m duckdb_wasi_udf.dbt macros`.

    DuckDB has functions in Python in one schema only, and a query calls a dbt function by its schema. So the function has
    a name of its own, and a macro in the schema calls it, which also gives its arguments names and default values.
#}
{% macro duckdb__scalar_function_python(target_relation) %}
    {%- set inner = '__' ~ target_relation.schema ~ '__' ~ target_relation.identifier -%}
    {%- set types, names, parameters = [], [], [] -%}
    {%- for argument in model.arguments -%}
        {%- do types.append("'" ~ argument.data_type | replace("'", "''") ~ "'") -%}
        {%- do names.append(adapter.quote(argument.name)) -%}
        {%- set default = argument.get('default_value') -%}
        {%- do parameters.append(
            adapter.quote(argument.name) ~ (' := ' ~ default if default is not none else '')
        ) -%}
    {%- endfor -%}
    {%- set options = [
        "entry: '" ~ model.config.get('entry_point') ~ "'",
        "return_type: '" ~ model.returns.data_type | replace("'", "''") ~ "'",
        "parameters: [" ~ types | join(', ') ~ "]::VARCHAR[]",
        "side_effects: " ~ (model.config.get('volatility') == 'non-deterministic'),
        "persist: true",
        "replace: true",
    ] -%}
    {%- set create -%}
        SELECT py_create_function(
            '{{ inner | replace("'", "''") }}',
            '{{ model.compiled_code | replace("'", "''") }}',
            { {{ options | join(', ') }} }
        )
    {%- endset -%}
    {%- do run_query(create) -%}
    {%- do adapter.commit() -%} {# what the transaction doesn't see before its end #}
    CREATE OR REPLACE FUNCTION {{ target_relation.render() }}({{ parameters | join(', ') }})
    AS {{ adapter.quote(inner) }}({{ names | join(', ') }})
{% endmacro %}
