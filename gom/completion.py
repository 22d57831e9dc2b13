"""`gom completion SHELL`: prints the script that completes gom's words in a shell; it asks `gom` for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

USAGE: Final = """\
usage: gom completion bash|zsh|fish
       gom completion words [--] [WORD ...]

Prints what a shell needs to complete the words of gom, with the names of nodes, the numbers of jobs and of
processes as they are now:

  bash:  gom completion bash >/etc/bash_completion.d/gom
  zsh:   gom completion zsh >/usr/local/share/zsh/site-functions/_gom
  fish:  gom completion fish >/etc/fish/completions/gom.fish

`words` is what these scripts call: it prints how the last WORD can go on, one a line, a tab and a word about
it behind; `:files` or `:commands` asks the shell for its own.
"""
_BASH: Final = r"""# completion of gom for bash: `gom completion bash` made it
_gom() {
    local typed="${COMP_LINE:0:COMP_POINT}" cur kept="" breaks line
    local -a words=()
    read -ra words <<<"$typed"
    [[ "$typed" == *[[:space:]] ]] && words+=("")
    cur="${words[${#words[@]}-1]}"
    # What bash completes begins behind the last of these characters, where they divide words for it; the rest
    # of the word is kept. `@` divides words, too, but stays with what follows.
    breaks="${COMP_WORDBREAKS//[!=:]/}"
    [[ -n "$breaks" ]] && kept="${cur%"${cur##*["$breaks"]}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        case "$line" in
            :files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
            :commands) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
            *) COMPREPLY+=("${line#"$kept"}"); [[ "$line" == */ ]] && compopt -o nospace ;;
        esac
    done < <("${words[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
}
complete -F _gom gom
"""
_ZSH: Final = r"""#compdef gom
# completion of gom for zsh: `gom completion zsh` made it
_gom() {
    local line word
    local -a found shown open
    for line in "${(@f)$(${words[1]} completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        word="${line%%$'\t'*}"
        case "$word" in
            :files) _files ;;
            :commands) _command_names ;;
            '') ;;
            */) open+=("$word") ;;
            *) found+=("$word"); shown+=("${line/$'\t'/  -- }") ;;
        esac
    done
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    if [[ "${shown[*]}" == *'  -- '* ]]; then
        compadd -l -d shown -- "${found[@]}"
    elif (( ${#found} )); then
        compadd -- "${found[@]}"
    fi
}
if [ "${funcstack[1]}" = _gom ]; then _gom "$@"; else compdef _gom gom; fi
"""
_FISH: Final = r"""# completion of gom for fish: `gom completion fish` made it
function __gom_words
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in ($before[1] completion words -- $before[2..-1] $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':commands'
                __fish_complete_command
            case '*'
                echo -- $line
        end
    end
end
complete -c gom -f -a '(__gom_words)'
"""
SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
