/* What runs on the server, run here below a temporary folder, without root's rights. */
#include <stdlib.h>
#include <sys/wait.h>

#include "deploy/plan_apply.h"
#include "deploy/quote.h"
#include "test/support.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* In each: $D is the server's memory, $R a folder for files, $me and $us own them, abc is
 * the text of a blob. */
static const struct script_case {
	const char *name, *script, *says; /* on stdout and stderr */
} script_cases[] = {
	{ "put a new file",
	    "put " ABC
	    " 0640 $me $us \"$R/a/x\" ''; cat \"$R/a/x\"; stat -c :%a $R/a/x",
	    "@step R/a/x\nabc:640\n" },
	{ "put over a file of ours",
	    "printf old >$R/x; h=$(sha256sum <$R/x)\n"
	    "put " ABC " 0644 $me $us $R/x ${h%% *}; cat $R/x; ls $D/backup",
	    "@step R/x\nabc" },
	{ "put over a file of others",
	    "printf old >$R/x; put " ABC " 0644 $me $us $R/x ''\n"
	    "cat $R/x; cat $D/backup/now$R/x",
	    "@step R/x\n@note Kept as it was: R/x, in D/backup/now\nabcold" },
	{ "put over a symlink",
	    "ln -s /nowhere $R/x; put " ABC " 0644 $me $us $R/x ''\n"
	    "cat $R/x; readlink $D/backup/now$R/x",
	    "@step R/x\n@note Kept as it was: R/x, in D/backup/now\nabc/nowhere\n" },
	{ "put over a directory", "mkdir $R/x; put " ABC " 0644 $me $us $R/x ''",
	    "@step R/x\nR/x is in the way: a file has to be there. Move it "
	    "elsewhere.\nexit 1\n" },
	{ "put what is there",
	    "printf abc >$R/x; chmod 600 $R/x; i=$(stat -c %i $R/x)\n"
	    "put " ABC " 0644 $me $us $R/x ''; stat -c %a $R/x\n"
	    "[ $i = $(stat -c %i $R/x) ] && echo untouched",
	    "@step R/x\n644\nuntouched\n" },
	{ "put a text that is gone", "rm $D/blobs/*; put " ABC " 0644 $me $us $R/x ''",
	    "@step R/x\nThe text of R/x is not on the server any more.\nexit 1\n" },
	{ "take a file of ours away", "printf abc >$R/x; take_away " ABC " $R/x; ls $R",
	    "@step removal of R/x\n" },
	{ "leave a file that was changed",
	    "printf abd >$R/x; take_away " ABC " $R/x; ls $R",
	    "@step removal of R/x\n"
	    "@note Left where it is, for it was changed since: R/x\nx\n" },
	{ "take nothing away", "take_away " ABC " $R/x", "@step removal of R/x\n" },
	{ "make a file absent", "printf x >$R/x; make_absent '' $R/x; ls $R",
	    "@step removal of R/x\n@note Kept as it was: R/x, in D/backup/now\n" },
	{ "make a directory absent", "mkdir $R/d; >$R/d/x; make_absent '' $R/d; ls $R",
	    "@step removal of R/d\n" },
	{ "a directory in the way of nothing",
	    "make_directory 02750 $me $us $R/d; stat -c %a $R/d; mkdir $R/d/e\n"
	    "make_directory 00700 $me $us $R/d; stat -c %a $R/d",
	    "@step R/d\n2750\n@step R/d\n700\n" },
	{ "only empty directories leave",
	    "mkdir $R/d $R/e; >$R/e/x; take_directory_away $R/d\n"
	    "take_directory_away $R/e; ls $R",
	    "e\n" },
	{ "restart is more than reload",
	    "owe reload a.service; owe restart a.service; owe reload a.service\n"
	    "owe reload b.service; grep . $D/pending/*",
	    "D/pending/a.service:restart\nD/pending/b.service:reload\n" },
	{ "mend what is not so",
	    "mend 'the x' \"[ -e $R/x ]\" \">$R/x; echo mended\" restart a.service\n"
	    "cat $D/pending/a.service",
	    "@step the x\nmended\nrestart\n" },
	{ "nothing to mend",
	    "mend 'the x' true 'echo mended' restart a.service\n"
	    "ls $D/pending",
	    "@step the x\n" },
	{ "mended in vain", "mend 'the x' false true",
	    "@step the x\nIt was done, but still is not so: the x\nexit 1\n" },
	{ "cannot be mended", "mend 'the x' false 'echo why; false'",
	    "@step the x\nwhy\nThis could not be done: the x\nexit 1\n" },
	{ "a good try in place",
	    "printf old >$R/x; change=\"put " ABC " 0644 $me $us $R/x ''\"\n"
	    "printf '%s\\n' \"change() { $change; }\" \\\n"
	    "	\"checks() { check good 'cat $R/x'; }\" >$D/change.sh\n"
	    "try_in_place $R/x; cat $R/x; ls $D/backup $D/undo 2>&1 | grep -c now || :",
	    "@step R/x\n@step good\nabcold0\n" },
	{ "a bad try in place",
	    "printf old >$R/x\n"
	    "change=\"put " ABC " 0644 $me $us $R/x ''; put " ABC
	    " 0644 $me $us $R/y ''\"\n"
	    "printf '%s\\n' \"change() { $change; }\" \\\n"
	    "	'checks() { check bad false; }' >$D/change.sh\n"
	    "try_in_place $R/x $R/y || echo refused; cat $R/x; ls $R",
	    "@step R/x\n@step R/y\n@step bad\nrefused\noldx\n" },
	{ "a try that was cut short is undone",
	    "mkdir -p $D/undo/files$R; printf old >$D/undo/files$R/x\n"
	    "printf new >$R/x; >$R/y; printf '%s\\n' $R/x $R/y >$D/undo/list\n"
	    "lock; cat $R/x; ls $R",
	    "oldx\n" },
	{ "a generation is recorded",
	    "printf 'file\\tweb\\t%s\\t%s\\n' $R/x " ABC " >$D/m; rm $D/blobs/*\n"
	    "printf abc >$R/x; >$D/blobs/unused\n"
	    "record 1 'test 1' <$D/m; cat $D/generations/1/applied; ls $D/blobs",
	    "@step record of generation 1\nnow test 1\n" ABC "\n" },
	{ "ten generations are kept",
	    "for n in 1 2 3 4 5 6 7 8 9 10 11; do mkdir $D/generations/$n\n"
	    "echo m >$D/generations/$n/manifest; done\n"
	    "record 12 x </dev/null; ls $D/generations | sort -n | tr '\\n' ' '",
	    "@step record of generation 12\n3 4 5 6 7 8 9 10 11 12 " },
	/* takeover.sh */
	{ "what the Python relay has is kept",
	    "printf theirs >$R/a; ln -s /x $R/l; mkdir $R/d; printf abc >$R/o\n"
	    "keep_theirs $R/a $R/l $R/d $R/none $R/o; cd $T; cat list\n"
	    "cat files$R/a files$R/o; readlink files$R/l; ls files$R | wc -l",
	    "@step a copy of what the Python relay has\n"
	    "R/a\nR/l\nR/d\nR/none\nR/o\ntheirsabc/x\n3\n" },
	{ "what was kept first is theirs",
	    "printf theirs >$R/a; keep_theirs $R/a; printf abc >$R/a\n"
	    "keep_theirs $R/a; cat $T/files$R/a $T/list; printf new >$R/a\n"
	    "keep_theirs $R/a; cat $T/files$R/a",
	    "@step a copy of what the Python relay has\n"
	    "@step a copy of what the Python relay has\ntheirsR/a\n"
	    "@step a copy of what the Python relay has\nnew" },
	{ "its units are noted until the switch",
	    "systemctl() { case $2 in a) echo $1 ;; *) return 1 ;; esac; }\n"
	    "mkdir $T; keep_units a b; cat $T/units; : >$T/begun; keep_units c\n"
	    "cat $T/units",
	    "@step which units run\na is-enabled is-active\nb unknown \n"
	    "a is-enabled is-active\nb unknown \n" },
	{ "what is set aside comes back",
	    "systemctl() { :; }\n"
	    "mkdir -p $R/venv/bin; printf p >$R/venv/bin/p; printf theirs >$R/a\n"
	    "chmod 640 $R/a; keep_theirs $R/a $R/new $R/deep/new >/dev/null 2>&1\n"
	    "set_aside $R/venv $R/none; ls $R | tr '\\n' ' '\n"
	    "printf abc >$R/a; printf abc >$R/new; mkdir $R/deep; : >$R/deep/new\n"
	    "put_theirs; cat $R/a $R/venv/bin/p; stat -c :%a $R/a\n"
	    "ls $R | tr '\\n' ' '",
	    "a @step files of the Python relay\ntheirsp:640\na venv " },
	{ "files of later runs go, if they are ours",
	    "mkdir $T $D/generations/2; : >$T/list\n"
	    "printf abc >$R/x; printf abd >$R/y\n"
	    "printf 'file\\tweb\\t%s\\t" ABC "\\t\\n' $R/x $R/y "
	    ">$D/generations/2/manifest\n"
	    "put_theirs; ls $R",
	    "@step files of the Python relay\ny\n" },
	{ "units are as they were",
	    "systemctl() { echo \"$*\"; }; freeze_postfix() { echo freeze; }\n"
	    "stop_postfix() { echo thaw; }; hand_back_state() { echo hand back; }\n"
	    "postqueue() { :; }; put_back() { :; }; ss() { :; }; mkdir $T; : >$T/list\n"
	    "printf '%s\\n' 'a enabled active' 'b disabled inactive' 'c masked "
	    "inactive' "
	    "'d unknown inactive' 'e static active' >$T/units; go_back",
	    "disable --no-reload -q chatmaild.socket chatmaild-filter.socket "
	    "chatmaild-http.socket chatmaild.service d\nfreeze\n"
	    "@step files of the Python relay\n"
	    "mask --no-reload -q c\nunmask --no-reload -q a b\n"
	    "enable --no-reload -q a\ndisable --no-reload -q b\ndaemon-reload\n"
	    "@step our services: stop\nstop --no-block dovecot.service\n"
	    "stop chatmaild.socket chatmaild-filter.socket chatmaild-http.socket "
	    "chatmaild.service d\nhand back\nstop b c\nthaw\n"
	    "@step start a e\nrestart a e\n" },
	{ "nothing to give back", "give_back",
	    "This server was not taken over from a Python relay: there is nothing to "
	    "give back.\nexit 1\n" },
	{ "a switch that fails is undone",
	    "go_back() { step back; echo go back; }; freeze_postfix() { :; }\n"
	    "mkdir $T; begin_switch; die no",
	    "@step switch to our services\nno\n"
	    "@note The switch failed: the Python relay is put back.\n"
	    "go back\nexit 1\n" },
	{ "a switch nobody listens to ends well",
	    "freeze_postfix() { :; }; postqueue() { :; }; mkdir $T\n"
	    "{ begin_switch; sleep 0.1; for i in 1 2 3; do step x; done\n"
	    "end_switch; echo done >$R/end; } 2>&1 | true; cat $R/end",
	    "done\n" },
};

static void replace(struct text *to, struct span from, const char *what, const char *by)
{
	size_t len = strlen(what);

	while (from.len > 0) {
		const char *at = memmem(from.data, from.len, what, len);
		size_t n = at ? (size_t)(at - from.data) : from.len;

		text_add_span(to, span_make(from.data, n));
		if (!at)
			return;
		text_add(to, by);
		from = span_skip(from, n + len);
	}
}

/* What the script says, with short names for the folders. */
static char *run(const char *dir, const char *script)
{
	char *memory = support_path(dir, "memory"), *files = support_path(dir, "files");
	struct text command = { 0 }, whole = { 0 }, said = { 0 }, first = { 0 },
		    second = { 0 };
	char bytes[4096];
	size_t n;
	FILE *pipe;

	quote_command(&whole,
	    "D=%s R=%s\n"
	    "mkdir -p $R $D/blobs $D/pending $D/backup $D/generations $D/packages "
	    "$D/binaries\n"
	    "printf abc >$D/blobs/" ABC "\n"
	    "cp %s $D/server.sh\n"
	    "time=now; me=$(id -un) us=$(id -gn); export me us\n"
	    ". $D/server.sh\n"
	    "%r\n",
	    memory, files, getenv("SERVER_SH"), script);
	quote_command(&command, "{ sh -eu -c %s || echo exit $?; } 2>&1", whole.data);
	pipe = popen(command.data, "re");
	assert_non_null(pipe);
	while ((n = fread(bytes, 1, sizeof(bytes), pipe)) > 0)
		text_add_span(&said, span_make(bytes, n));
	pclose(pipe);
	replace(&first, text_span(&said), memory, "D");
	replace(&second, text_span(&first), files, "R");
	text_free(&whole);
	text_free(&command);
	text_free(&said);
	text_free(&first);
	free(memory);
	free(files);
	return text_take(&second);
}

/* The functions, with their memory below dir. */
static void write_functions(const char *dir)
{
	char *functions = server_functions(), *path = support_path(dir, "server.sh");
	char *memory = support_path(dir, "memory"), *line;
	struct text text = { 0 };

	if (asprintf(&line, "\nD=%s\n", memory) < 0)
		abort();
	replace(&text, span_of(functions), "\nD=/var/lib/cmdeploy\n", line);
	support_write_file(path, text_span(&text));
	setenv("SERVER_SH", path, 1);
	text_free(&text);
	free(line);
	free(memory);
	free(path);
	free(functions);
}

static void scripts(void **state)
{
	const struct script_case *c = *state;
	char *dir = support_tmpdir(), *said;

	write_functions(dir);
	said = run(dir, c->script);
	assert_string_equal(said, c->says);
	free(said);
	support_tmpdir_remove(dir);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(scripts, script_cases) },
	};

	return support_run("server", tests, ARRAY_LEN(tests));
}
