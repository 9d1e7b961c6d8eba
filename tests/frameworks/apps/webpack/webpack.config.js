import HTML from 'html-webpack-plugin'

export default {
  mode: 'development',
  entry: './main.js',
  plugins: [new HTML({ title: 'webpack', templateContent: '<!doctype html><title>webpack</title><p id="text"></p>' })],
  // By itself the page's websocket goes to `port`, which only addresses with the app's own port have: previews by loopback, and localhost.
  devServer: { host: '0.0.0.0', port: process.env.PORT, client: { webSocketURL: 'auto://0.0.0.0:0/ws' } },
}
