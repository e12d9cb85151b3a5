import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.io.OutputStream;
import java.util.List;

/**
 * Serves the MongoDB wire protocol from memory on 127.0.0.1, at the port given (0: any free one),
 * until standard input closes: whoever starts it cannot leave it behind.
 */
public final class TestServer {
    /** 5.0 as the drivers of today accept it: the library itself names a wire version they refuse. */
    private static final class Mongo5 implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    }

    public static void main(String[] args) throws Exception {
        MongoServer server = new MongoServer(new MemoryBackend().version(new Mongo5()));
        server.enableOplog();
        server.bind("127.0.0.1", args.length > 0 ? Integer.parseInt(args[0]) : 0);
        System.out.println("listening 127.0.0.1:" + server.getLocalAddress().getPort());
        System.in.transferTo(OutputStream.nullOutputStream());
        System.exit(0);
    }
}
