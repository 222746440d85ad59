-- Before verifying: only signatures of the very domain in From count.
--
-- At its start OpenDKIM runs this once on made-up values, where a domain is no string; and
-- an error in a script crashes Debian's OpenDKIM. Hence the look at the type.
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
  if type(domain) == "string" then
    domain = string.lower(domain)
  end
  if domain ~= from then
    odkim.sig_ignore(sig)
  end
end
return nil
