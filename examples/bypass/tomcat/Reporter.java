import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

/**
 * Tomcat as an upstream of the bypass suite: it tells which requests its servlets were given.
 * Arguments: the port, and a directory of its own.
 */
public class Reporter extends HttpServlet {
    private static final StringBuffer ARRIVALS = new StringBuffer();
    private final String resource;

    Reporter(String resource) {
        this.resource = resource;
    }

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        if (resource.equals("arrivals")) {
            answer(response, ARRIVALS.toString());
            return;
        }
        ARRIVALS.append(arrival(request) + "\n");
        answer(response, resource + "\n");
    }

    private static void answer(HttpServletResponse response, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        response.setContentType("text/plain");
        response.setContentLength(bytes.length);
        response.getOutputStream().write(bytes);
    }

    private String arrival(HttpServletRequest request) {
        String below = request.getPathInfo();
        List<String> headers = new ArrayList<>();
        for (String name : Collections.list(request.getHeaderNames())) {
            for (String value : Collections.list(request.getHeaders(name))) {
                headers.add("[" + text(name) + "," + text(value) + "]");
            }
        }
        return "{\"resource\":" + text(resource)
            + ",\"method\":" + text(request.getMethod())
            + ",\"path\":" + text(request.getServletPath() + (below == null ? "" : below))
            + ",\"target\":" + text(request.getRequestURI())
            + ",\"query\":" + text(request.getQueryString())
            + ",\"host\":" + text(request.getHeader("host"))
            + ",\"headers\":[" + String.join(",", headers) + "]}";
    }

    /** A JSON string. */
    private static String text(String value) {
        StringBuilder out = new StringBuilder("\"");
        for (char letter : (value == null ? "" : value).toCharArray()) {
            boolean plain = letter >= ' ' && letter < 127 && letter != '"' && letter != '\\';
            out.append(plain ? String.valueOf(letter) : String.format("\\u%04x", (int) letter));
        }
        return out.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(arguments[1]);
        Connector connector = new Connector();
        connector.setProperty("address", "127.0.0.1");
        connector.setPort(Integer.parseInt(arguments[0]));
        // As lenient as it can be told to be, because some are.
        connector.setEncodedSolidusHandling("decode");
        connector.setProperty("allowBackslash", "true");
        connector.setAllowTrace(true);
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", null);
        String[][] places = {
            {"/arrivals", "arrivals"}, {"/admin/*", "admin"}, {"/public/*", "public"}, {"/", "other"},
        };
        for (String[] place : places) {
            Tomcat.addServlet(context, place[1], new Reporter(place[1]));
            context.addServletMappingDecoded(place[0], place[1]);
        }
        tomcat.start();
        tomcat.getServer().await();
    }
}
