# Programs that a user installed for itself come first in login shells too, whether there are any yet or not.
PATH=$HOME/.local/bin:$PATH
