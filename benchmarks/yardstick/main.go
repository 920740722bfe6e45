// The yardstick: a straightforward Go program for the same job, for comparison. Three stages of workers are connected by
// channels, and all data is in memory. It has no retries, no limits and no receipts.
//
//	yardstick -manifest urls.txt -frame frame.png -bucket bench -prefix go
package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	_ "image/png"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	scaler "golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

type item struct {
	key  string
	data []byte
}

var client = &http.Client{
	Timeout:   60 * time.Second,
	Transport: &http.Transport{DisableCompression: true},
}

func main() {
	manifest := flag.String("manifest", "", "file with one URL per line")
	frame := flag.String("frame", "", "template image")
	bucket := flag.String("bucket", "", "bucket to store in")
	prefix := flag.String("prefix", "go", "prefix of the keys")
	downloaders := flag.Int("downloads", 16, "number of concurrent downloads")
	composers := flag.Int("composers", 2, "number of compose workers")
	flag.Parse()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = *downloaders + 64

	urls, fetched, composed := make(chan string, 64), make(chan item, 64), make(chan item, 64)
	template := &layers{image: decode(read(*frame)), scaled: map[image.Point]image.Image{}}
	var stored, failed atomic.Int64
	fail := func(err error) { failed.Add(1); log.Print(err) }

	go func() {
		file, err := os.Open(*manifest)
		if err != nil {
			log.Fatal(err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			urls <- lines.Text()
		}
		close(urls)
	}()
	downloads := startWorkers(*downloaders, func() {
		for url := range urls {
			data, err := get(url)
			if err != nil {
				fail(err)
				continue
			}
			digest := sha256.Sum256([]byte(url))
			fetched <- item{fmt.Sprintf("%s/%x.jpg", *prefix, digest[:8]), data}
		}
	})
	composing := startWorkers(*composers, func() {
		for one := range fetched {
			data, err := template.over(one.data)
			if err != nil {
				fail(err)
				continue
			}
			composed <- item{one.key, data}
		}
	})
	uploads := startWorkers(16, func() {
		for one := range composed {
			if err := put(*bucket, one.key, one.data); err != nil {
				fail(err)
				continue
			}
			stored.Add(1)
		}
	})
	downloads.Wait()
	close(fetched)
	composing.Wait()
	close(composed)
	uploads.Wait()
	fmt.Printf("{\"uploaded\": %d, \"failed\": %d}\n", stored.Load(), failed.Load())
}

func startWorkers(size int, work func()) *sync.WaitGroup {
	var group sync.WaitGroup
	for n := 0; n < size; n++ {
		group.Add(1)
		go func() { defer group.Done(); work() }()
	}
	return &group
}

func get(url string) ([]byte, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return nil, fmt.Errorf("%s responses %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// layers holds the template in its own size and in every size that was needed so far.
type layers struct {
	image  image.Image
	mutex  sync.Mutex
	scaled map[image.Point]image.Image
}

func (l *layers) at(size image.Point) image.Image {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	layer, found := l.scaled[size]
	if !found {
		canvas := image.NewRGBA(image.Rectangle{Max: size})
		scaler.CatmullRom.Scale(canvas, canvas.Bounds(), l.image, l.image.Bounds(), draw.Src, nil)
		layer = canvas
		l.scaled[size] = layer
	}
	return layer
}

func (l *layers) over(data []byte) ([]byte, error) {
	source, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	canvas := image.NewRGBA(image.Rectangle{Max: source.Bounds().Size()})
	draw.Draw(canvas, canvas.Bounds(), source, source.Bounds().Min, draw.Src)
	draw.Draw(canvas, canvas.Bounds(), l.at(canvas.Bounds().Size()), image.Point{}, draw.Over)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, canvas, &jpeg.Options{Quality: 85}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decode(data []byte) image.Image {
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		log.Fatal(err)
	}
	return picture
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return data
}

// put stores an object, signed by AWS Signature Version 4.
func put(bucket, key string, data []byte) error {
	request, err := http.NewRequest("PUT", os.Getenv("AWS_ENDPOINT_URL_S3")+"/"+bucket+"/"+key, bytes.NewReader(data))
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	stamp, day, region := now.Format("20060102T150405Z"), now.Format("20060102"), os.Getenv("AWS_REGION")
	digest := sha256.Sum256(data)
	payload := hex.EncodeToString(digest[:])
	request.Header.Set("Content-Type", "image/jpeg")
	request.Header.Set("X-Amz-Content-Sha256", payload)
	request.Header.Set("X-Amz-Date", stamp)
	names := "content-type;host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{
		"PUT", request.URL.EscapedPath(), "",
		"content-type:image/jpeg", "host:" + request.URL.Host, "x-amz-content-sha256:" + payload, "x-amz-date:" + stamp,
		"", names, payload,
	}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	scope := day + "/" + region + "/s3/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	signing := []byte("AWS4" + os.Getenv("AWS_SECRET_ACCESS_KEY"))
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		signing = sum(signing, part)
	}
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+os.Getenv("AWS_ACCESS_KEY_ID")+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(sum(signing, text)))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != 200 {
		return fmt.Errorf("PUT %s: %s", key, response.Status)
	}
	return nil
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
