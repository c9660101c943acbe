# One request where there is no curl: bash is essential to Debian. $0 is the port, $1 the path.
exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 7
printf "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: evenkeel\r\nConnection: close\r\n\r\n" "$1" >&3
IFS= read -r -n 200 line <&3
case $line in "HTTP/"*" "[23][0-9][0-9]*) ;; *) echo "GET $1 answered ${line:-nothing}"; exit 22 ;; esac
