#!/bin/sh
# Says something all the time: on stderr, on stdout after it has left a child behind that does, or
# nothing after its document is whole, as its argument says. (corpus)
chatter() { while sleep 0.01; do echo x; done }
case $1 in
child)
    printf 'Content-Type: text/plain\n\n'
    chatter &
    sleep 0.2
    ;;
whole)
    printf 'Content-Type: text/plain\nContent-Length: 5\n\nhello'
    sleep 1.5
    echo "has worked on" >&2
    ;;
*)
    printf 'Content-Type: text/plain\n\nso far'
    chatter >&2
    ;;
esac
