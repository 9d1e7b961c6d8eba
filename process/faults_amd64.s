#include "textflag.h"

// func faultFilter() uintptr
TEXT ·faultFilter(SB), NOSPLIT, $0-8
	MOVQ $·filterFault(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// filterFault is a signal handler: DI is the signal, SI its siginfo, whose si_code is 0 or less when a process sent it.
TEXT ·filterFault(SB), NOSPLIT|NOFRAME, $0
	MOVL 8(SI), AX
	CMPL AX, $0
	JLE  sent
	MOVQ ·faultNext(SB), AX
	JMP  AX
sent:
	RET
