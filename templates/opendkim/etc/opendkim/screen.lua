-- Before verifying: only signatures of the very domain in From count.
--
-- In Debian's OpenDKIM a call inside the arguments of another call, in a loop, crashes at
-- start: one call a statement.
from = odkim.get_fromdomain(ctx)
count = odkim.get_sigcount(ctx)
-- Without any signature the count is nil, not 0.
if from == nil or count == nil then
  return nil
end
from = string.lower(from)
for i = 1, count do
  sig = odkim.get_sighandle(ctx, i - 1)
  domain = odkim.sig_getdomain(sig)
  domain = string.lower(domain)
  if domain ~= from then
    odkim.sig_ignore(sig)
  end
end
return nil
