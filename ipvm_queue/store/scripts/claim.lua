-- Remember invocations as those of a request.
-- ARGV: P, '', the request's id, count, for each of its invocations the key of what was signed and until when that matters.
-- Returns what `remember` does.
return remember(3)
