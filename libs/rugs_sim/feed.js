// A client of the feed, in a page or in a worker: Engine.IO 4 and Socket.IO 4 over one WebSocket, by hand.
"use strict";

const RECONNECT_MS = 500;
const ASK_MS = 5000;

function listen(host, player, tell) {
  const query = new URLSearchParams({ EIO: "4", transport: "websocket" });
  let nextAck = 0;

  function connect() {
    const socket = new WebSocket(`ws://${host}/socket.io/?${query}`);
    let asking = null;

    function emit(event, ...args) {
      socket.send(`42${JSON.stringify([event, ...args])}`);
    }

    function request(event, ...args) {
      socket.send(`42${nextAck++}${JSON.stringify([event, ...args])}`);
    }

    function asPlayer() {
      emit("authenticate", { __trace: true, traceparent: "00-0-0-01" });
      request("getLeaderboard", { period: "7d" });
      asking = setInterval(() => request("checkUsername"), ASK_MS);
    }

    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") {
        tell({ kind: "attachment", text: `${data.byteLength} bytes` });
      } else if (data.startsWith("0")) {
        socket.send("40");
      } else if (data === "2") {
        socket.send("3");
      } else if (data === "1" || data === "41") {
        socket.close();
      } else if (data.startsWith("40")) {
        tell({ kind: "connected", text: data });
        if (player) asPlayer();
      } else {
        tell({ kind: "message", text: data });
      }
    };
    socket.onclose = ({ code }) => {
      clearInterval(asking);
      tell({ kind: "disconnected", text: String(code) });
      setTimeout(connect, RECONNECT_MS);
    };
  }

  connect();
}

if (typeof document === "undefined") {
  const options = new URLSearchParams(self.location.search);
  listen(self.location.host, options.has("player"), (news) => self.postMessage(news));
}
