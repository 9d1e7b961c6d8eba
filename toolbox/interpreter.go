package toolbox

var interpreterRoutes = []unbuilt{
	{Method: "GET", Path: "/process/interpreter/context", Feature: "the interpreter"},
	{Method: "POST", Path: "/process/interpreter/context", Feature: "the interpreter"},
	{Method: "DELETE", Path: "/process/interpreter/context/:id", Feature: "the interpreter"},
	{Method: "GET", Path: "/process/interpreter/execute", Status: 101, Feature: "the interpreter"},
}
