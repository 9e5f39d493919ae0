package webhook

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// connect opens a connection to the stamper from a loopback address.
func (s *stamper) connect(t *testing.T, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	connection, err := dialer.DialContext(t.Context(), "tcp", s.BindAddress)
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// handshake opens a TLS connection with one of these protocols.
func (s *stamper) handshake(t *testing.T, protocol string) *tls.Conn {
	t.Helper()
	config := s.trust()
	config.NextProtos = []string{protocol}
	connection := tls.Client(s.connect(t, "127.0.0.1"), config)
	must(t, connection.HandshakeContext(t.Context()))
	return connection
}

// TestSlowClients: whoever does not send on is cut off, at every phase. Each
// returns only when the stamper has closed the connection.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	const head = "POST /stamp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	for name, connect := range map[string]func(*testing.T) net.Conn{
		"handshake": func(t *testing.T) net.Conn { return s.connect(t, "127.0.0.1") },
		"headers": func(t *testing.T) net.Conn {
			connection := s.handshake(t, "http/1.1")
			_, err := io.WriteString(connection, head)
			must(t, err)
			return connection
		},
		"body": func(t *testing.T) net.Conn {
			connection := s.handshake(t, "http/1.1")
			_, err := io.WriteString(connection, head+"\r\n{")
			must(t, err)
			return connection
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := io.ReadAll(connect(t))
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
			if strings.Contains(string(answer), "200 OK") {
				t.Errorf("answered: %s", answer)
			}
		})
	}
}

// TestConnections: one address gets its share, all get what there is, and a
// connection that is closed makes room.
func TestConnections(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	isClosed := func(connection net.Conn) bool {
		_, err := connection.Read(make([]byte, 1))
		return err != nil
	}
	var first []net.Conn
	for range maxPerAddress {
		first = append(first, s.connect(t, "127.0.0.2"))
	}
	if !isClosed(s.connect(t, "127.0.0.2")) {
		t.Error("one address gets more than its share")
	}
	s.wantAnswer(t)
	s.wantMetric(t, "sidecar_drift_webhook_rejected_connections_total 1")
	for i := range maxConnections/maxPerAddress - 1 {
		for range maxPerAddress {
			s.connect(t, fmt.Sprintf("127.0.0.%d", 3+i))
		}
	}
	if !isClosed(s.connect(t, "127.0.0.1")) {
		t.Error("more than all connections are open")
	}
	must(t, first[0].Close())
	eventually(t, func() bool {
		status, _, err := s.post(s.client(), bytes.NewReader(readFixture(t)))
		return err == nil && status == http.StatusOK
	})
}

// TestManyLargeReviews: some of them are judged, all are answered.
func TestManyLargeReviews(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	body := forgedPods["containers"].review()
	statuses := make(chan int)
	const senders = 20
	for range senders {
		go func() {
			status, text, err := s.post(s.client(), strings.NewReader(body))
			if err != nil || status == http.StatusOK && !strings.Contains(text, `"allowed":true`) {
				status = 0
			}
			statuses <- status
		}()
	}
	counted := map[int]int{}
	for range senders {
		counted[<-statuses]++
	}
	ok, refused := counted[http.StatusOK], counted[http.StatusServiceUnavailable]
	if ok == 0 || ok+refused != senders {
		t.Errorf("statuses: %v", counted)
	}
	s.wantAnswer(t)
	s.wantMetric(t, fmt.Sprintf("sidecar_drift_webhook_rejected_reviews_total %d", refused))
}

func TestManyMalformedReviews(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	client := clientWith(s.trust())
	client.Transport.(*http.Transport).DisableKeepAlives = false
	defer client.CloseIdleConnections()
	review := string(readFixture(t))
	for i := range 1000 {
		status, _, err := s.post(client, strings.NewReader(review[:i]))
		if err != nil || status != http.StatusBadRequest {
			t.Fatalf("the first %d bytes of a review get status %d, %v", i, status, err)
		}
	}
	s.wantAnswer(t)
	s.wantMetric(t, `sidecar_drift_webhook_reviews_total{outcome="error"} 1000`)
}

// h2 is an HTTP/2 client that does what no honest one does.
type h2 struct {
	*http2.Framer
	settings map[http2.SettingID]uint32
	headers  bytes.Buffer
	next     uint32 // stream
}

// http2 opens a connection and greets; it returns with the server's settings.
func (s *stamper) http2(t *testing.T, settings ...http2.Setting) *h2 {
	t.Helper()
	connection := s.handshake(t, "h2")
	_, err := io.WriteString(connection, http2.ClientPreface)
	must(t, err)
	c := &h2{Framer: http2.NewFramer(connection, connection), settings: map[http2.SettingID]uint32{}, next: 1}
	must(t, c.WriteSettings(settings...))
	frame, err := c.ReadFrame()
	must(t, err)
	must(t, frame.(*http2.SettingsFrame).ForeachSetting(func(setting http2.Setting) error {
		c.settings[setting.ID] = setting.Val
		return nil
	}))
	must(t, c.WriteSettingsAck())
	return c
}

// open begins a review of so many bytes in a stream of its own.
func (c *h2) open(size int) (stream uint32, err error) {
	c.headers.Reset()
	encoder := hpack.NewEncoder(&c.headers)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}, {"content-type", "application/json"},
		{"content-length", strconv.Itoa(size)},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return 0, err
		}
	}
	stream = c.next
	c.next += 2
	return stream, c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.headers.Bytes(), EndHeaders: true})
}

// wantReset reads until the stream is reset.
func (c *h2) wantReset(t *testing.T, stream uint32, want ...http2.ErrCode) {
	t.Helper()
	for {
		frame, err := c.ReadFrame()
		must(t, err)
		if reset, is := frame.(*http2.RSTStreamFrame); is && reset.StreamID == stream {
			for _, code := range want {
				if reset.ErrCode == code {
					return
				}
			}
			t.Fatalf("reset with %v", reset.ErrCode)
		}
		if data, is := frame.(*http2.DataFrame); is && data.StreamID == stream {
			t.Fatalf("data: %s", data.Data())
		}
	}
}

func TestHTTP2Streams(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	c := s.http2(t)
	if streams, frame := c.settings[http2.SettingMaxConcurrentStreams], c.settings[http2.SettingMaxFrameSize]; streams != maxStreams || frame > maxFrame {
		t.Errorf("%d streams, frames of %d bytes", streams, frame)
	}
	for range maxStreams {
		_, err := c.open(100)
		must(t, err)
	}
	extra, err := c.open(100)
	must(t, err)
	c.wantReset(t, extra, http2.ErrCodeRefusedStream, http2.ErrCodeProtocol)
	s.wantAnswer(t)
}

// TestHTTP2RapidReset: streams that are reset at once (CVE-2023-44487) keep
// nobody else from an answer.
func TestHTTP2RapidReset(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	c := s.http2(t)
	go func() { _, _ = io.Copy(io.Discard, readerOf(c)) }() // what the stamper has to say
	for range 10_000 {
		stream, err := c.open(100)
		if err == nil {
			err = c.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		if err != nil {
			break // cut off, which is as good
		}
	}
	s.wantAnswer(t)
}

// readerOf reads frames as if they were bytes.
func readerOf(c *h2) io.Reader { return frames{c} }

type frames struct{ *h2 }

func (f frames) Read([]byte) (int, error) {
	_, err := f.ReadFrame()
	return 0, err
}

// TestUnreadAnswer: a client that has no window for its answer loses the stream.
func TestUnreadAnswer(t *testing.T) {
	t.Parallel()
	s := startReady(t)
	c := s.http2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	review := readFixture(t)
	stream, err := c.open(len(review))
	must(t, err)
	must(t, c.WriteData(stream, true, review))
	c.wantReset(t, stream, http2.ErrCodeInternal)
	s.wantAnswer(t)
}
