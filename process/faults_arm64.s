#include "textflag.h"

// func faultFilter() uintptr
TEXT ·faultFilter(SB), NOSPLIT, $0-8
	MOVD $·filterFault(SB), R0
	MOVD R0, ret+0(FP)
	RET

// filterFault is a signal handler: R0 is the signal, R1 its siginfo, whose si_code is 0 or less when a process sent it.
TEXT ·filterFault(SB), NOSPLIT|NOFRAME, $0
	MOVW 8(R1), R3
	CMPW $0, R3
	BLE  sent
	MOVD ·faultNext(SB), R3
	JMP  (R3)
sent:
	RET
