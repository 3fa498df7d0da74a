
# The names of the nodes come from the supervisor that runs.
_supervisor_with_nodes() {
    _supervisor "$@"
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    case "${COMP_WORDS[1]} ${before} ${word}" in
        *" --state-dir "* | *" --base-port "* | *" --config "* | *" --lines "* | *" -n "*) return 0 ;;
        "logs --node "*) COMPREPLY=() ;;
        "restart "*" -"* | "why "*" -"*) return 0 ;;
        "restart "* | "why "*) ;;
        *) return 0 ;;
    esac
    local nodes
    nodes=$("${COMP_WORDS[0]}" status --json 2>/dev/null | sed -n 's/^ *"node": "\(.*\)",\{0,1\}$/\1/p')
    COMPREPLY+=($(compgen -W "${nodes}" -- "${word}"))
}
complete -F _supervisor_with_nodes -o bashdefault -o default supervisor
