package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// readTime is how long a handshake, and what comes before the body of a request,
	// may take. API servers wait for a response for 30 seconds at most.
	readTime = 30 * time.Second
	// handshakeWait is how long a handshake waits for the first certificate.
	handshakeWait = 5 * time.Second
	idleTime      = 2 * time.Minute
	// endTime is how long requests may go on after the end.
	endTime = 10 * time.Second
)

// serving are the servers that still answer. Caddy stops apps without waiting for
// what a source began; the end of the process waits for these.
var (
	serving    sync.WaitGroup
	waitAtExit = sync.OnceFunc(func() {
		caddy.OnExit(func(context.Context) { serving.Wait() })
	})
)

// serve answers requests until ctx is done.
func (w *Webhook) serve(ctx context.Context) error {
	address, err := caddy.ParseNetworkAddress(w.config.Listen)
	if err != nil {
		return err
	}
	errorLog, err := zap.NewStdLogAt(w.logger(), zapcore.DebugLevel) // such as handshakes of others that come by
	if err != nil {
		return err
	}
	l, err := address.Listen(ctx, 0, net.ListenConfig{})
	if err != nil {
		return fmt.Errorf("listening for API servers: %w; write another address as listen", err)
	}
	listener, ok := l.(net.Listener)
	if !ok {
		if closer, ok := l.(io.Closer); ok {
			_ = closer.Close()
		}
		return fmt.Errorf("listen is no address of a stream; write one such as %s", defaultListen)
	}
	server := &http.Server{
		Handler: w.handler(newIntake()), TLSConfig: &tls.Config{GetCertificate: w.getCertificate, MinVersion: tls.VersionTLS12},
		ReadTimeout: readTime, ReadHeaderTimeout: readTime, WriteTimeout: 2 * readTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10, ErrorLog: errorLog,
	}
	waitAtExit()
	serving.Go(func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			w.logger().Error("webhook stopped listening", zap.Error(err))
		}
	})
	serving.Go(func() {
		w.watchCertificate(ctx)
		end, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		if err := server.Shutdown(end); err != nil {
			_ = server.Close()
		}
	})
	w.logger().Info("webhook listening", zap.String("address", w.config.Listen), zap.String("webhook", w.config.Webhook))
	return nil
}

// getCertificate implements tls.Config.GetCertificate. While another configuration
// takes over, the system already leads a part of the connections to this one: they
// wait until there is a certificate.
func (w *Webhook) getCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	select {
	case <-w.ready:
	case <-hello.Context().Done():
	case <-time.After(handshakeWait):
	}
	return w.certificate.get()
}

// watchCertificate renews the certificate in time, though nobody asks, until ctx is
// done.
func (w *Webhook) watchCertificate(ctx context.Context) {
	tick := time.NewTicker(w.times.leaf / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if expires, err := w.certificate.expires(); err == nil {
				metricExpiry.Set(float64(expires.Unix()))
			}
		}
	}
}
