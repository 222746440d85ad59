-- Tells chatmaild of each delivered message: an empty metadata entry of the mailbox ends up
-- as a SET at its metadata socket, which then wakes the user's devices.

function dovecot_lua_notify_begin_txn(user)
  return user
end

function dovecot_lua_notify_event_message_new(user, event)
  -- What one device of the user sent to the others wakes nobody.
  if user.username == event.from_address then
    return
  end
  local mailbox = user:mailbox(event.mailbox)
  -- Not sync(): that takes the lock which the processes of clients that idle need now.
  mailbox:open()
  -- The delivery goes on, and the mailbox is freed, when chatmaild is not there.
  pcall(mailbox.metadata_set, mailbox, "/private/messagenew", "")
  mailbox:free()
end

function dovecot_lua_notify_end_txn(user, success)
end
