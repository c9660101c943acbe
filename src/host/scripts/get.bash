# One request where there is no curl: bash is essential to Debian. $0 is the port, $1 the path; where a text is looked for, $2
# is the text, and $3 how many bytes are searched. To HTTP/1.0 nobody answers in chunks, which may cut the text.
exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 7
version=1.1; [ -z "$2" ] || version=1.0
printf "GET %s HTTP/%s\r\nHost: 127.0.0.1\r\nUser-Agent: evenkeel\r\nConnection: close\r\n\r\n" "$1" "$version" >&3
IFS= read -r -n 200 line <&3
case $line in "HTTP/"*" "[23][0-9][0-9]*) ;; *) echo "GET $1 answered ${line:-nothing}"; exit 22 ;; esac
[ "$2" ] || exit 0
while IFS= read -r line <&3; do case $line in "" | $'\r') break ;; esac; done
head -c "$3" <&3 | grep -aqF -e "$2" || { echo "GET $1 answered without \`$2\` in its body"; exit 22; }
