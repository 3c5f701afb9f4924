"""The API server. A request goes server → resource_http → operations → reads | writes | deletes → store.

Around that line: `kinds` says what is served, `rules` what a write may do, `webhooks` who may change or refuse it,
`watch_http` how changes leave again, `local` is the same without HTTP for the controllers in this process.
Everything that only computes (patches, schemas, defaults, selectors, tables, ownership...) is pure.
"""
