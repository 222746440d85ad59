-- After verifying: one valid signature lets the mail in. A key that could not be looked up
-- (result 24) is trouble that passes, so the sender shall try again; anything else is final.
--
-- A relay without a name writes from an IP address. It has no place for a key, so nothing
-- can be asked of its mail here.
from = odkim.get_fromdomain(ctx)
if type(from) == "string" then
  first = string.sub(from, 1, 1)
  if first == "[" then
    return nil
  end
end
count = odkim.get_sigcount(ctx)
if count == nil then
  count = 0
end
later = false
for i = 1, count do
  sig = odkim.get_sighandle(ctx, i - 1)
  result = odkim.sig_result(sig)
  if result == 0 then
    return nil
  end
  if result == 24 then
    later = true
  end
end
if later then
  odkim.set_reply(ctx, "451", "4.7.5", "DKIM key lookup failed, try again later")
  odkim.set_result(ctx, SMFIS_TEMPFAIL)
  return nil
end
odkim.set_reply(ctx, "554", "5.7.1", "No valid DKIM signature found")
odkim.set_result(ctx, SMFIS_REJECT)
return nil
