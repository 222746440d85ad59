# A text as rows of an array of C strings, one a line.
s/[\"]/\\&/g
s/	/\\t/g
s/.*/	"&\\n",/
