// Package frameworks opens real web frameworks, which run unchanged in a sandbox, through their previews in Chromium:
// in each preview mode, alone and in a frame of another site's page, and does what a user does there. It is run by
// `make frameworks` and is not part of CI.
//
// apps/ has a folder for each: its files, `start`, which runs it on $PORT, and visit.mjs, the steps of the user; that
// is all a new one needs. What they need from package registries is pinned in apps/requirements.txt and
// apps/package.json and kept as an image of the engine. browser/visit.mjs drives Chromium.
//
// Each app is also opened without Sandlot between, at localhost, where it must pass too: what fails there is the
// app's or the test's.
//
// A visit passes when its steps do, and nothing stood in red: no answer of 400 or more, no failed request, no error
// in the console.
package frameworks
