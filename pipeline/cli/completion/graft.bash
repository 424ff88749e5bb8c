# Completion of graft for bash. The program itself knows what may come next: graft __complete WORD...
_graft() {
  local words=() word i candidate help
  COMPREPLY=()
  # Bash divides words at '=' and ':', too; the program does not.
  for ((i = 1; i <= COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    if ((${#words[@]} > 0)) && [[ $word == [=:]* || ${words[-1]} == *[=:] ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  local current=${words[-1]-} before=
  # What is replaced is only the part behind the last of them.
  [[ $current == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && before=${current%"${current##*[=:]}"}
  while IFS=$'\t' read -r candidate help; do
    case $candidate in
      :folders)
        compopt -o filenames
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "${current#"$before"}")
        ;;
      :files*)
        compopt -o filenames
        while IFS= read -r word; do
          if [[ $candidate == :files || -d $word || " ${candidate#:files } " == *" ${word##*.} "* ]]; then
            COMPREPLY+=("$word")
          fi
        done < <(compgen -f -- "${current#"$before"}")
        ;;
      *) COMPREPLY+=("${candidate#"$before"}") ;;
    esac
  done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${words[@]}" 2>/dev/null)
}
complete -F _graft graft
